'use strict'

// `monit` in a real terminal: tmux draws it, keys drive it. What it looks like at several sizes is in the snapshots of
// `src/cli/command/monit/snapshots`.

const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')

const { cli, fixture, freshHome, root, waitFor } = require('../support/home.js')

/** A terminal of 80 x 24 that runs a line of shell; `screen()` is what stands there, `press()` types. */
function terminal(t, home, line) {
  const name = `pm2-rs-${process.pid}`
  const tmux = (...args) => {
    const { status, stdout, stderr } = spawnSync('tmux', ['-L', name, '-u', '-f', '/dev/null', ...args], {
      env: { ...process.env, PM2_HOME: home, LANG: 'C.UTF-8', TERM: 'xterm-256color' },
      encoding: 'utf8',
    })
    assert.equal(status, 0, stderr)
    return stdout
  }
  tmux('new-session', '-d', '-x', '80', '-y', '24', line)
  t.after(() => spawnSync('tmux', ['-L', name, 'kill-server']))
  return {
    screen: () => tmux('capture-pane', '-p'),
    press: (...keys) => tmux('send-keys', ...keys),
    resize: (width, height) => tmux('resize-window', '-x', String(width), '-y', String(height)),
  }
}

test('monit in a terminal, by keys', async (t) => {
  if (spawnSync('tmux', ['-V']).status !== 0) return t.skip('tmux is not installed here')
  const home = freshHome(t)
  const app = path.join(path.dirname(home), 'app.js')
  fs.writeFileSync(app, "console.log('written before'); setInterval(() => console.log('ticking'), 100)")
  assert.equal(cli(home, ['start', app, '--name', 'alpha']).status, 0)
  assert.equal(cli(home, ['start', fixture('forever.js'), '--name', 'beta']).status, 0)
  const status = (name) => JSON.parse(cli(home, ['jlist']).stdout).find((one) => one.name === name)?.pm2_env.status

  const monit = `"${process.execPath}" "${path.join(root, 'bin', 'pm2-rs')}" monit`
  const { screen, press, resize } = terminal(t, home, `${monit}; echo "ended with $?"; stty -a; exec sleep 600`)
  const shows = (...texts) => waitFor(() => texts.every((text) => screen().includes(text)), `the screen shows ${texts}`)

  await shows('Processes', 'alpha', 'beta', 'written before', 'ticking', 'App Name', 'q quit')
  press('Down')
  await shows('beta Logs')
  press('s')
  await shows('stop beta (id 1)?')
  press('n')
  await waitFor(() => !screen().includes('confirm'))
  assert.equal(status('beta'), 'online')
  press('s', 'y')
  await shows('stop 1: done', 'stopped')
  assert.equal(status('beta'), 'stopped')
  press('r', 'y')
  await shows('restart 1: done')
  assert.equal(status('beta'), 'online')

  press('/', 'a', 'l', 'p', 'Enter')
  await shows('(1 of 2) filter: alp', 'alpha Logs')
  press('Escape')
  await shows('beta')
  press('?')
  await shows('the next panel')
  press('x', 'o', 'o')
  await waitFor(() => screen().includes('cpu▼'))
  resize(120, 30)
  await waitFor(
    () =>
      /┐$/m.test(screen()) &&
      screen()
        .split('\n')
        .some((line) => line.length >= 120),
  )
  resize(40, 12)
  await waitFor(
    () =>
      screen()
        .split('\n')
        .every((line) => line.length <= 40) && screen().includes('Processes'),
  )
  resize(80, 24)
  await shows('App Name')

  press('q')
  await shows('ended with 0')
  // The terminal is as it was: lines are edited and shown, the mouse is left alone.
  await shows(' icanon', ' echo ')
})

test('without a terminal it says what to do instead', (t) => {
  const { status, stdout, stderr } = cli(freshHome(t), ['monit'])
  assert.deepEqual([status, stdout], [1, ''])
  assert.match(stderr, /monit needs a terminal; elsewhere use: pm2-rs list --watch/)
})
