"""Groups of commands: when they load, and how most are made from declarations."""
