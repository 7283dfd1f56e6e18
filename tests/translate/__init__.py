"""Tests of the room `translate`; a package, so that its files may share names with other rooms' tests."""
