"""Images, PDF and guarded URL fetching: the only package that opens URLs chosen by a client."""
