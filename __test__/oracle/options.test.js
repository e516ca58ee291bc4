'use strict'

// Every option and alias, given to stock pm2 and to ours: the same error, the same number of processes, the same value in
// pm2_env. docs/options-matrix.md is written from what this finds (UPDATE_DOCS=1).

const assert = require('node:assert/strict')
const { execFile } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { test } = require('node:test')
const { promisify } = require('node:util')

const { freshHome, root } = require('../support/home.js')
const { rows } = require('./options_rows.js')

/** Rows whose answer is another one on purpose: the heading of docs/differences.md that says why. */
const deviations = {
  wait_ready: 'An explicit false is kept',
  deep_monitoring: 'An explicit false is kept',
  cronRestart: 'No cron is no cron',
  disableTrace: 'Aliases do what their option does',
  user: 'Aliases do what their option does',
  'env: 5': 'A text is no environment',
}

/** Rows that are stored as pm2 stores them and do nothing: the heading that says why. */
const withoutEffect = {
  kill_retry_time: 'kill_retry_time has no effect',
  killRetryTime: 'kill_retry_time has no effect',
}

async function play(t, pm2Package) {
  const home = freshHome(t)
  const scratch = path.join(path.dirname(home), 'scratch')
  fs.mkdirSync(scratch)
  const { stdout } = await promisify(execFile)(process.execPath, [path.join(__dirname, 'options_scenario.js')], {
    cwd: scratch,
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      USER: 'tester',
      PM2_HOME: home,
      PM2_DISABLE_VERSION_CHECK: 'true',
      PM2_PACKAGE: pm2Package,
      SCRATCH: scratch,
    },
    maxBuffer: 64 << 20,
    timeout: 240_000,
  })
  const text = stdout
    .slice(stdout.lastIndexOf('RESULT') + 6)
    .replaceAll(path.dirname(home), '<folder>')
    .replaceAll(pm2Package, '<package>')
  // Ids differ where one of the two started nothing.
  return JSON.parse(text.replace(/(-out|-error|\/row-\d+|o|e|p|all)-\d+\.(log|pid)/g, '$1-N.$2'))
}

test('every option and alias does what it does in stock pm2, or the difference is explained', async (t) => {
  const [theirs, ours] = await Promise.all([play(t, path.join(root, 'node_modules', 'pm2')), play(t, root)])
  const wrong = []
  const found = new Map()
  for (const row of rows) {
    const [a, b] = [theirs[row.id], ours[row.id]]
    if (row.added) {
      if (b.error !== null || b.value === 'absent') wrong.push(`${row.id}: added, but ${JSON.stringify(b)}`)
      found.set(row.id, 'added')
      continue
    }
    const same = JSON.stringify(a) === JSON.stringify(b)
    if (!same && !deviations[row.id]) wrong.push(`${row.id}: ${JSON.stringify(a)} / ${JSON.stringify(b)}`)
    if (same && deviations[row.id]) wrong.push(`${row.id}: is the same, but listed as a deviation`)
    const [heading, word] = same ? [withoutEffect[row.id], 'stored as in pm2'] : [deviations[row.id], 'fixed']
    found.set(row.id, heading ? `${word}: [${heading}](differences.md)` : 'same as pm2')
  }
  assert.deepEqual(wrong, [], `stock / ours differ:\n${wrong.join('\n')}`)
  check(matrix(found))
})

function matrix(found) {
  const lines = [
    '# Options: ours against pm2',
    '',
    'Made by `__test__/oracle/options.test.js` (UPDATE_DOCS=1), which gives every option and alias to stock pm2 7.0.4 and to',
    'pm2-rs and compares the error, the number of processes and the value in `pm2_env`. Do not edit.',
    '',
    '| given | compared | result |',
    '| --- | --- | --- |',
    ...rows.map((row) => `| \`${row.id}\` | \`${row.key}\` | ${found.get(row.id)} |`),
  ]
  return `${lines.join(os.EOL)}\n`
}

function check(text) {
  const file = path.join(root, 'docs', 'options-matrix.md')
  if (process.env.UPDATE_DOCS) fs.writeFileSync(file, text)
  assert.equal(fs.readFileSync(file, 'utf8'), text, 'docs/options-matrix.md is out of date: run with UPDATE_DOCS=1')
}

test('no option and no alias of docs/options.md is left out', () => {
  const text = fs.readFileSync(path.join(root, 'docs', 'options.md'), 'utf8')
  const listed = [...text.matchAll(/^\| `(\w+)`(?: \*\*ours\*\*)? \| ([^|]*) \|/gm)]
  const names = listed.flatMap(([, name, aliases]) => [
    name,
    ...[...aliases.matchAll(/`(\w+)`/g)].map((match) => match[1]),
  ])
  assert.ok(names.length >= 90, `${names.length} options and aliases`)
  const ids = new Set(rows.map((row) => row.id))
  assert.deepEqual(
    names.filter((name) => !ids.has(name)),
    [],
  )
})

test('every deviation is explained in docs/differences.md', () => {
  const text = fs.readFileSync(path.join(root, 'docs', 'differences.md'), 'utf8')
  for (const heading of Object.values({ ...deviations, ...withoutEffect }))
    assert.ok(text.includes(`\n## ${heading}`), heading)
})
