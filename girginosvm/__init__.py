"""Virtual machines that stay alive, on plain AlmaLinux hosts, without anything else."""

__version__ = "0.1.0"
