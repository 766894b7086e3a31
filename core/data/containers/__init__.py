"""What an upload comes in, a zip, a tar or a folder, and its members: counted, never extracted."""
