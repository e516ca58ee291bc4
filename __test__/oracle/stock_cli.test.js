'use strict'

// Stock pm2's command line and its bus client, against our daemon.

const assert = require('node:assert/strict')
const { execFile } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')
const { promisify } = require('node:util')

const { cli, fixture, freshClient, isAlive, root, waitFor } = require('../support/home.js')

test('the stock command line drives our daemon', async (t) => {
  const pm2 = freshClient(t)
  await pm2.connect()
  const keeper = fs.readFileSync(path.join(pm2.home, 'pm2.pid'), 'utf8')
  const stock = (...args) => {
    const done = cli(pm2.home, args, { stock: true })
    assert.equal(done.status, 0, `pm2 ${args.join(' ')}: ${done.stdout}${done.stderr}`)
    assert.doesNotMatch(done.stdout, /out-of-date|Spawning PM2 daemon/, `pm2 ${args.join(' ')}`)
    return done.stdout
  }
  // The first call in a new home prints a banner; after it stdout is what was asked for.
  stock('ping')
  assert.match(stock('ping'), /pong/)
  assert.match(stock('start', fixture('forever.js'), '--name', 'app', '--', 'x'), /online/)
  const list = () => JSON.parse(stock('jlist'))
  const [started] = list()
  assert.deepEqual([started.name, started.pm2_env.status, started.pm2_env.args], ['app', 'online', ['x']])
  assert.ok(isAlive(started.pid))
  assert.match(stock('ls'), /│ app .*online/)
  assert.match(stock('describe', 'app'), /script path/)
  stock('restart', 'app')
  const [restarted] = list()
  assert.notEqual(restarted.pid, started.pid)
  assert.equal(restarted.pm2_env.restart_time, 1)
  assert.equal(isAlive(started.pid), false)
  stock('reload', 'app')
  stock('stop', 'app')
  assert.equal(list()[0].pm2_env.status, 'stopped')
  stock('save')
  stock('delete', 'app')
  assert.deepEqual(list(), [])
  stock('resurrect')
  assert.equal(list()[0].name, 'app')
  assert.equal(fs.readFileSync(path.join(pm2.home, 'pm2.pid'), 'utf8'), keeper, 'it was our daemon all the time')
  stock('kill')
  // Stock's `kill` returns with the daemon's answer, before its end.
  await waitFor(() => !isAlive(Number(keeper)))
})

test('the stock bus client hears our daemon', async (t) => {
  const pm2 = freshClient(t)
  await pm2.connect()
  const { stdout } = await promisify(execFile)(process.execPath, [path.join(__dirname, 'bus_scenario.js')], {
    env: {
      ...process.env,
      PM2_HOME: pm2.home,
      PM2_PACKAGE: path.join(root, 'node_modules', 'pm2'),
      APP_FOLDER: path.join(root, '__test__', 'fixtures'),
    },
    maxBuffer: 64 << 20,
    timeout: 120_000,
  })
  const heard = JSON.parse(stdout.slice(stdout.indexOf('[{"step"')))
  const topics = new Set(heard.map((entry) => entry.topic))
  for (const topic of [
    'process:event',
    'log:out',
    'log:err',
    'log:PM2',
    'process:msg',
    'custom:thing',
    'process:exception',
    'pm2:kill',
  ]) {
    assert.ok(topics.has(topic), topic)
  }
})
