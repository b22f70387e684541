"""`python -m mesh.cli.entry`: the console command where no script is installed, and for the agents of a rehearsal."""

from mesh.cli import main

if __name__ == "__main__":
    main()
