'use strict'

// The command line by itself; beside stock pm2 it is in ../oracle/commands.test.js.

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')

const { cli, fixture, freshHome, isAlive, pidsWithEnv, waitFor } = require('../support/home.js')

const app = fixture('forever.js')

test('queries launch no daemon and print data only', async (t) => {
  const home = freshHome(t)
  assert.deepEqual(cli(home, ['jlist']), { status: 0, stdout: '[]', stderr: '' })
  assert.deepEqual(cli(home, ['prettylist']), { status: 0, stdout: '[]', stderr: '' })
  assert.deepEqual(cli(home, ['pid']), { status: 0, stdout: '\n', stderr: '' })
  assert.deepEqual(cli(home, ['id', 'x']), { status: 0, stdout: '[]\n', stderr: '' })
  assert.match(cli(home, ['list']).stdout, /^┌─+┬/)
  for (const [status, ...args] of [
    [0, 'list', '--json'],
    [0, 'ls', '-m'],
    [0, 'slist'],
    [0, 'report'],
    [0, 'conf'],
    [0, 'module:list'],
    [0, 'save', '--check'],
    [0, 'flush'],
    [0, 'doctor'],
    [0, 'examples'],
    [0, 'completion'],
    [0, 'startup', 'systemd', '--print'],
    [0, 'kill'],
    [0, 'logs', '--nostream'],
    [0, '--version'],
    [0, '--help'],
    [0, 'unlink'],
    [1, 'get', 'x:y'],
    [1, 'describe', 'x'],
    [1, 'env', 'x'],
    [1, 'flush', 'x'],
    [1, 'stop', 'x'],
    [1, 'delete', 'all'],
    [0, 'save'],
    [0, 'reloadLogs'],
    [1, 'send', '0', 'x'],
    [1, 'sendSignal', 'SIGCONT', '0'],
    [1, 'sendSignal', 'SIGCONT', 'x'],
    [1, 'trigger', 'x', 'y'],
    [1, 'attach', 'x'],
    [1, 'reset', 'x'],
    [1, 'ping', '--no-launch'],
    [1, 'scale', 'x', '2'],
    [1, 'inspect', 'x'],
    [1, 'monitor', 'x'],
    [1, 'nonsense'],
    [1],
  ]) {
    const done = cli(home, args)
    assert.equal(done.status, status, `${args.join(' ')}: ${done.stdout}${done.stderr}`)
  }
  assert.deepEqual(pidsWithEnv(`PM2_HOME=${home}`), [])
  assert.equal(fs.existsSync(path.join(home, 'rpc.sock')), false)
})

test('jlist is one line of JSON, and --json says what an action did', async (t) => {
  const home = freshHome(t)
  const started = JSON.parse(cli(home, ['start', app, '--name', 'one', '--json']).stdout)
  assert.deepEqual(
    [started.ok, started.action, started.processes[0].name, started.processes[0].status],
    [true, 'start', 'one', 'online'],
  )
  const { stdout } = cli(home, ['jlist'])
  assert.equal(stdout.includes('\n'), false)
  const [one] = JSON.parse(stdout)
  assert.ok(isAlive(one.pid))
  const refused = cli(home, ['stop', 'nobody', '--json'])
  assert.equal(refused.status, 1)
  assert.equal(JSON.parse(refused.stdout).errors[0].code, 'PROCESS_NOT_FOUND')
  assert.equal(cli(home, ['kill', '-s']).stdout, '')
  assert.equal(isAlive(one.pid), false)
})

test('config files of every kind are read', async (t) => {
  const home = freshHome(t)
  const folder = path.dirname(home)
  const files = {
    'a.json': '// a comment\n{ apps: [{ script: "app.js", name: "json" }], }',
    'b.yml': 'apps:\n  - script: app.js\n    name: yaml\n',
    'c.config.js':
      "module.exports = { apps: [{ script: 'app.js', name: 'js', env: { A: '1' }, env_production: { A: '2' } }] }",
    'd.config.mjs': "export default async () => ({ apps: [{ script: 'app.js', name: 'mjs' }] })",
    'e.config.cjs': "exports.apps = { script: 'app.js', name: 'cjs' }",
  }
  fs.copyFileSync(app, path.join(folder, 'app.js'))
  for (const [name, text] of Object.entries(files)) {
    fs.writeFileSync(path.join(folder, name), text)
    const done = cli(home, ['start', name, '--env', 'production'], { cwd: folder })
    assert.equal(done.status, 0, `${name}: ${done.stdout}${done.stderr}`)
  }
  const list = JSON.parse(cli(home, ['jlist']).stdout)
  assert.deepEqual(list.map((entry) => entry.name).sort(), ['cjs', 'js', 'json', 'mjs', 'yaml'])
  assert.equal(list.find((entry) => entry.name === 'js').pm2_env.env.A, '2')
  fs.writeFileSync(path.join(folder, 'bad.config.js'), 'module.exports = {')
  const bad = cli(home, ['start', 'bad.config.js'], { cwd: folder })
  assert.equal(bad.status, 1)
  assert.match(bad.stderr, /File bad\.config\.js malformated/)
  assert.equal(cli(home, ['start', 'none.config.js'], { cwd: folder }).status, 1)
  assert.equal(cli(home, ['kill']).status, 0)
})

test('logs follows what an app writes', async (t) => {
  const home = freshHome(t)
  assert.equal(cli(home, ['start', fixture('messages.js'), '--name', 'm']).status, 0)
  const { spawn } = require('node:child_process')
  const { root } = require('../support/home.js')
  const follower = spawn(process.execPath, [path.join(root, 'bin', 'pm2-rs'), 'logs', 'm', '--lines', '0'], {
    env: { ...process.env, PM2_HOME: home },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => follower.kill('SIGKILL'))
  let text = ''
  follower.stdout.on('data', (chunk) => {
    text += chunk
  })
  await waitFor(() => {
    cli(home, ['send', '0', 'hello there', '-q'])
    return text.includes('0|m  | stdin: hello there\n')
  })
  assert.equal(cli(home, ['kill']).status, 0)
})
