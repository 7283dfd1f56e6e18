"""Tests of the room `stream`; a package, so that its files may share names with other rooms' tests."""
