"""Many samples: what is done is written down as it is done, so that a run survives anything.

names.py        names of folders and files of a run
fingerprint.py  what decides the outputs of a run, and what differs from an earlier run
markers.py      `recorded.json`, `done.json`: written last, they say that a stage of one sample is whole
results.py      `results.jsonl` (one line per attempt) and `summary.csv`, made of it
folder.py       the folder of a run, taken for one run: locks, and which shards work there at once
presence.py     workers of a killed run are gone before another run works in its folder
ledger.py       the books of a run: `run.json`, the state of every sample
jobs.py         what goes to a worker and what comes back: keys and paths, never tensors
work.py         what a worker does with a job: record_sample, render_trace
together.py     several samples recorded in one batch of the model
engine.py       the interface of engines; in_process.py, local_pool.py and ray.py are the three there are
worker.py       what runs in a process of the local pool
lost_traces.py  samples of which `render` finds no whole trace
schedule.py     which job is next, what becomes of a killed one; knows no engine
console.py      bars and log lines
sentences.py    what is said when a run ends, and the command that comes next
run_page.py     `index.html`, made of the books
run.py          all of it in order: `run_batch`, `render_run`
"""
