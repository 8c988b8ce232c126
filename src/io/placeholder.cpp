namespace pare {}
