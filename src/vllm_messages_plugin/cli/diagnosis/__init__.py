"""What `doctor` looks at, a file a part: the installation, the environment, the server, Claude Code."""
