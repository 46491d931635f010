"""What ``sage-ext --help`` says."""

DESCRIPTION = """\
Raises a robot's understanding of its world the way sleep does.

commands:
  cycle [KEY=VALUE ...]              wake, sleep and dream, in a new run
  wake  [KEY=VALUE ...]              live in the simulator and remember it, in a new run
  sleep RUN [KEY=VALUE ...]          live remembered moments again under other physics, viewpoints and speeds; learn
  dream RUN [KEY=VALUE ...]          break a law of physics in remembered moments; measure how coherent that seems
  act   RUN [KEY=VALUE ...]          learn to act from what is remembered: imitate the expert, or repeat what paid
  resume RUN                         continue a run that was interrupted, exactly as it would have gone on
  status [RUN]                       how a run is: phase, progress, latest numbers, or why it ended
  pause | unpause | stop RUN         let a running run wait, go on, or end at its next safe point
  play  [KEY=VALUE ...]              let a policy act for whole episodes; count successes, film what the robot sees
  view  RUN | --latest               watch a run in a browser, while it runs and later; pause it, stop it
  report RUN | --latest              one HTML page of a run: curves, probes, laws, its dreams as filmstrips
  dream watch RUN | --latest         its dreams as a film with their sound, each beside its possible twin
  export rerun RUN | --latest        what a run remembers as a Rerun recording (--out FILE)
  tasks                              every task: what it is, its spaces, its policies; starts no simulator
  info  [RUN | KEY=VALUE ...]        versions, devices, presets, tasks and every key; or what a run was and gave

RUN is a run folder, its name, or: latest
"""

EPILOG = """\
settings:
  KEY=VALUE, without dashes, such as wake.episodes=12; lists as [a,b]. `sage-ext info` lists every key and its range.
  preset=NAME names a set of them: debug (seconds), demo (the default, a minute), gpu (hours, one CUDA device).
  Presets stack, the last wins: preset=[gpu,debug]. A KEY=VALUE wins over all presets.

examples:
  sage-ext cycle                                     6 episodes, 600 consolidations, 10 dreams
  sage-ext cycle preset=debug seed=1 name=try        every path once, in seconds
  sage-ext wake wake.policy=expert wake.episodes=60  experience of the task's scripted expert
  sage-ext sleep latest sleep.consolidations=2000 sleep.variations.physical.gravity_scale=[0.5,1.5]
  sage-ext cycle task=lift after=latest              another task, with the mind of the newest run
  sage-ext play task=reach policy=expert video=true    success of a policy, and a film of what the robot saw
  sage-ext wake task=reach wake.policy=expert wake.episodes=60 && sage-ext sleep latest && sage-ext act latest
  sage-ext play policy=sage run=latest video=true      what was learned from the expert plays the task of its run
  sage-ext act latest act.rounds=3 act.episodes=12     SAGE acts, the expert says what it should have done (DAgger)
  sage-ext cycle wake.policy=sage cycles=5             from random acting on: every cycle acts as the last has learned
  sage-ext view --latest --port 8080                 only for this machine, unless --host says otherwise
  sage-ext report --latest                           report.html in the run's folder; open it in a browser
  sage-ext info latest                               results, progress and settings of the newest run

results land in runs/DATE-TIME-TASK[-NAME]/ (runs=FOLDER moves them):
  summary.json  dreams.png  dreams.safetensors  config.yaml  checkpoint/  memory/  policy/  acting/  tensorboard/
  simulator.log

what `sage-ext play` may be told:
  policy run missing episodes seed video video_worlds out, and task and randomisation as in a run: task=lift
  policy=sage needs run=RUN, whose task is the default; missing=SENSE keeps a sense from it
  Results land in plays/DATE-TIME-TASK-POLICY/ (out=FOLDER names another): play.json  play.mp4  simulator.log

Ctrl-C stops at the next safe point and says how to resume.
Exit codes: 0 done, 1 a bug, 2 bad input (one line on stderr, nothing written), 130 interrupted.
"""
