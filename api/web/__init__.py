"""Pages for people: rendered here, readable without JavaScript, on the same functions as the JSON API."""
