'use strict'

// Read by pm2's own js-yaml, and by ours.
module.exports = [
  'a: yes\nb: true\nc: True\nd: TRUE\ne: off\nf: NO\ng: on',
  'a: 1_000\nb: 0x1F\nc: 0o10\nd: 1e3\ne: 1.5\nf: .5\ng: -3\nh: +4\ni: 0b11',
  'a: ~\nb: null\nc:\nd: Null\ne: NULL',
  "a: '1'\nb: \"x\\ty\"\nc: 150M\nd: 12:30\ne: 1.2.3\nf: '* * * * *'\ng: -x\nh: a: b",
  "a: '1'\nb: \"x\\ty\"\nc: 150M\nd: 12:30\ne: 1.2.3\nf: '* * * * *'\ng: --x",
  '1: key\n2.5: other\ntrue: t',
  'apps:\n- script: app.js\n  env:\n    A: 1\n    B: "1"\n  args: [--a, "b c", 3]\n- {script: b.js, watch: true}',
  'base: &b {script: app.js, env: {A: x}}\napps:\n  - <<: *b\n    name: x\n  - *b',
  'm: |\n  a\n  b\nf: >\n  a\n  b\n\ns: |-\n  x',
  'd: 2001-01-01',
  'n: 010',
  '# only a comment',
  '',
  'a: 1\na: 2',
  'a: [1',
  'a: .inf\nb: .nan',
  '--- \na: 1\n---\nb: 2',
  'a: !!str 5\nb: !!int "7"',
  'text alone',
  '\ta: 1',
  'a: b\n c: d',
  'k: "it\'s" # comment\nl: a#b',
]
