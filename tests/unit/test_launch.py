"""The dashboard's start: what its thread imports is there to be imported, and the port is what it is told."""

from importlib.util import find_spec

from pilothouse.app import launch


def test_what_is_imported_ahead_is_installed():
    assert [name for name in launch._WHERE_USED if find_spec(name) is None] == []


def test_the_dashboard_is_a_module_and_its_port():
    assert launch.dashboard_argv(8501) == (launch.__name__, "8501")
