"""Dreams as a film with their sound: ``sage-ext dream watch``."""
