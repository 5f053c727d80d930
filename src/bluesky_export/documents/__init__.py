"""What every writer and catalog needs of Bluesky documents and no format owns."""
