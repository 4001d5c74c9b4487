"""The only package that imports `anthropic`: the model adapter and the scripted model server."""
