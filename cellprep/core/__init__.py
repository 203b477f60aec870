"""Arrays alone: no file is known here."""
