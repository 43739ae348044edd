"""MELD: emotions of utterances in dialogues, as ready-made features."""
