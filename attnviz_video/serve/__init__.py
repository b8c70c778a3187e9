"""The live page: a prompt is typed in a browser, and its tokens come with their attention while they are generated.

app          which address gives what; nothing in it waits for the model
guard        who may ask at all: host, origin, token, size
address      where the server listens
form         the fields of a request, and pictures that came with it
asked        what is asked, checked against the model before it waits
line         the waiting line, and the one thread that generates
live_recording, payloads, answer_sections
             one recording, and what a page is told of it
events       what was told, for those who come late
runs         recent runs on disk
downloads    report and trace of a run
videos       videos, each made by a process of its own
server       the program around all this
"""
