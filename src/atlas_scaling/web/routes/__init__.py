"""The API, one file a noun: each route parses, calls one public function, and answers with it."""
