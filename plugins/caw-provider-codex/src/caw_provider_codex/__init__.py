"""caw provider for OpenAI Codex, kept alive between turns over its app-server protocol."""
