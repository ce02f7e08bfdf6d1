"""config -> wired services. The only room that knows both the configuration and the other rooms."""
