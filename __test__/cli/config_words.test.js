'use strict'

// What commands say of the apps of a config file, and of mistakes in it and in their own words.

const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')

const { fixture, freshHome, root } = require('../support/home.js')

const app = fixture('forever.js')

/** Like the `cli` of the other tests, with what a success says on stderr, too. */
function cli(home, args) {
  const env = { ...process.env, NO_COLOR: '1', PM2_HOME: home }
  return spawnSync(process.execPath, [path.join(root, 'bin', 'pm2-rs'), ...args], { env, encoding: 'utf8' })
}

test('a config file: what is new, what is done to what runs, and every slip of the pen', (t) => {
  const home = freshHome(t)
  const file = path.join(path.dirname(home), 'eco.config.js')
  const write = (apps) => fs.writeFileSync(file, `module.exports = ${JSON.stringify({ apps })}`)
  write([{ name: 'a', script: app, intances: 2 }])
  const first = cli(home, ['start', file, '-q'])
  assert.equal(first.status, 0, first.stderr)
  assert.match(
    first.stderr,
    /\[PM2\]\[WARN\] app a: unknown option "intances" is ignored; did you mean "instances"\?\n/,
  )
  assert.match(first.stdout, /^\[PM2\]\[WARN\] Applications a not running, starting\.\.\.\n\[PM2\] App \[a\] launched/)

  write([
    { name: 'a', script: app },
    { name: 'b', script: app, env_production: { X: '1' } },
  ])
  const second = cli(home, ['start', file, '--env', 'production', '-q'])
  assert.match(second.stderr, /\[WARN\] Environment \[production\] is not defined in process file \(app a\)\n$/)
  assert.match(
    second.stdout,
    /^\[PM2\] Applying action restartProcessId on app \[a\]\(ids: \[ 0 \]\)\n\[PM2\] \[a\]\(0\) ✓\n/,
  )
  assert.match(second.stdout, /Applications b not running, starting\.\.\./)

  const reloaded = cli(home, ['reload', file])
  assert.match(reloaded.stdout, /Applying action reloadProcessId on app \[b\]\(ids: \[ 1 \]\)\n\[PM2\] \[b\]\(1\) ✓\n$/)
  assert.equal(reloaded.stderr, '')
  const both = cli(home, ['restart', 'a', 'b', '-q'])
  assert.equal(both.stdout.match(/Use --update-env/g).length, 1, 'the hint stands there once')
  const quiet = cli(home, ['restart', file, '--json'])
  assert.deepEqual(
    JSON.parse(quiet.stdout).processes.map((process) => process.name),
    ['a', 'b'],
  )
  assert.equal(cli(home, ['kill']).status, 0)
})

test('a .json file may be an expression; one that is none names its line', (t) => {
  const home = freshHome(t)
  const file = path.join(path.dirname(home), 'apps.json')
  fs.writeFileSync(file, `{ name: 'q', script: ${JSON.stringify(app)}, cwd: process.cwd() }`)
  assert.equal(cli(home, ['start', file, '-q']).status, 0)
  assert.equal(JSON.parse(cli(home, ['jlist']).stdout)[0].name, 'q')
  fs.writeFileSync(file, '{\n  apps: [ {{ ]\n}')
  const broken = cli(home, ['start', file])
  assert.equal(broken.status, 1)
  assert.equal(broken.stderr, `[PM2][ERROR] File ${file} malformated\n${file}:2: Unexpected token '{'\n`)
  assert.equal(cli(home, ['kill']).status, 0)
})

test('a missing argument comes with how the command is used', (t) => {
  const home = freshHome(t)
  const { status, stdout, stderr } = cli(home, ['scale', 'a'])
  assert.deepEqual(
    { status, stdout, stderr },
    {
      status: 1,
      stdout: '',
      stderr: 'error: missing required argument `<name> <n>`\nusage: pm2-rs scale [OPTIONS] <name> <n>\n',
    },
  )
  assert.equal(fs.existsSync(home), false)
})
