"""Sessions: conversations, transcripts of forks, timelines and artifacts."""
