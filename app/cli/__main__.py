from pilothouse.app.cli import main

main()
