"""A simulation of developers whose agents share one server: does every key get its turn?

    make team                         200 developers, 12 minutes for a working hour
    make team ARGS='--minutes 1 --developers 20'

The server is this plugin's own app with named keys and limits (`serve`), over an engine that only waits
(`engine`): it takes a number of requests at once, those of a smaller priority first. `developers` act in
another process. Nearly all work as one does with Claude Code; a few run many agents without a pause.
"""
