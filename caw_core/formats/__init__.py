"""Records in other forms: `atif` for other programs, `markdown` and `html` for people."""
