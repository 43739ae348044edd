"""The controlled synthetic family whose shared and unique information are knobs."""
