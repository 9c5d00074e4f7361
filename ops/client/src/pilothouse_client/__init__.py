"""Tells a Pilothouse service what a model predicted and what came true. It never slows or breaks its host."""

from pilothouse_client.aio import AsyncClient
from pilothouse_client.client import Client
from pilothouse_client.counts import Stats
from pilothouse_client.middleware import PilothouseMiddleware

__all__ = ["AsyncClient", "Client", "PilothouseMiddleware", "Stats"]
