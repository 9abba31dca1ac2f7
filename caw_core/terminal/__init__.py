"""The user's terminal: handed to a program and taken back, and the menu that is shown on it."""
