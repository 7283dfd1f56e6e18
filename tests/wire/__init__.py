"""Tests of the room `wire`; a package, so that its files may share names with other rooms' tests."""
