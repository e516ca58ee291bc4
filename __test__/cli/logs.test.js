'use strict'

// `pm2-rs logs` beyond what stock's does: old files, times, several targets, machine forms, and following through rotations,
// restarts and new apps.

const assert = require('node:assert/strict')
const { spawn, spawnSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')
const zlib = require('node:zlib')
const { cli, fixture, freshHome, root, waitFor } = require('../support/home.js')

/** Three apps that say what they get, in two namespaces; `web` with its log in this test's hands. */
async function apps(t) {
  const home = freshHome(t)
  const folder = path.join(path.dirname(home), 'logs')
  fs.mkdirSync(folder)
  const app = (name, more) => ({
    name,
    script: fixture('messages.js'),
    out_file: path.join(folder, `${name}-out.log`),
    error_file: path.join(folder, `${name}-error.log`),
    ...more,
  })
  const config = path.join(folder, 'apps.json')
  fs.writeFileSync(config, JSON.stringify([app('web', { namespace: 'front' }), app('api'), app('job')]))
  const started = cli(home, ['start', config])
  assert.equal(started.status, 0, started.stderr)
  const file = (name, kind = 'out') => path.join(folder, `${name}-${kind}.log`)
  for (const name of ['web', 'api', 'job'])
    await waitFor(() => fs.existsSync(file(name)) && fs.readFileSync(file(name), 'utf8').includes('ready for messages'))
  return { home, file, config }
}

const at = (minute, second = 0) => `2026-01-01T10:${String(minute).padStart(2, '0')}:${String(second).padStart(2, '0')}`

test('the past: old files, merged by time, between moments, in every form', async (t) => {
  const { home, file } = await apps(t)
  fs.writeFileSync(file('web'), `${at(5)}: five\n  at five\n${at(8)}: eight\n`)
  fs.writeFileSync(`${file('web')}.1`, `${at(3)}: three\n${at(4)}: four\n`)
  fs.writeFileSync(`${file('web')}.2.gz`, zlib.gzipSync(`${at(1)}: one\n${at(2)}: two\n`))
  fs.writeFileSync(file('web', 'error'), `${at(6)}: six\n${at(9)}: nine\n`)
  fs.writeFileSync(file('api'), `${at(7)}: seven\n${at(10)}: ten\n`)
  fs.writeFileSync(file('job'), 'no time\nat all\n')
  const logs = (...args) => {
    const { status, stdout, stderr } = cli(home, ['logs', '--nostream', ...args])
    assert.equal(status, 0, stderr)
    return stdout
  }
  const words = (text) => text.match(/(?<=: )\w+$|at five|no time|at all/gm) ?? []

  assert.deepEqual(
    words(logs('--lines', '2')).slice(-8),
    ['no time', 'at all', 'at five', 'six', 'seven', 'eight', 'nine', 'ten'],
    'what has no time comes first',
  )
  const timed = words(logs('web', 'api', '--lines', '2'))
  assert.deepEqual(timed, ['at five', 'six', 'seven', 'eight', 'nine', 'ten'])
  assert.match(logs('web', 'api', '--lines', '2'), /web-out\.log last 2 lines:\n/)
  assert.deepEqual(words(logs('web', '--out', '--lines', '6')), ['two', 'three', 'four', 'five', 'at five', 'eight'])
  assert.deepEqual(words(logs('front', '--err')), ['six', 'nine'])
  assert.deepEqual(words(logs('/^[aw]/', '--lines', '1')), ['eight', 'nine', 'ten'])
  assert.deepEqual(words(logs('0', '--since', at(4), '--until', at(6))), ['four', 'five', 'at five', 'six'])
  assert.deepEqual(words(logs('web', '--since', at(0), '--until', at(2), '--raw')), ['one', 'two'])
  assert.deepEqual(words(logs('web', 'api', '--last', '1m')), [])
  assert.deepEqual(words(logs('web', '--grep', 'e$', '--exclude', 'nine')), ['one', 'three', 'five', 'at five'])
  assert.equal(logs('api', '--raw', '--lines', '1'), `${at(10)}: ten\n`)
  const marked = logs('api', '--lines', '1', '--highlight', 'ten')
  assert.ok(marked.includes('\u001b[100mten\u001b[49m'), marked)

  const objects = logs('web', '--json', '--lines', '1')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  assert.deepEqual(
    objects.map(({ message, type, process_id, app_name }) => [message.slice(21), type, process_id, app_name]),
    [
      ['eight', 'out', 0, 'web'],
      ['nine', 'err', 0, 'web'],
    ],
  )
  assert.equal(objects[0].timestamp, new Date(2026, 0, 1, 10, 8).toISOString())
  assert.match(
    logs('api', '--format', '--lines', '1'),
    /^timestamp=2026-01-01-10:10:00[+-]\d{4} app=api id=1 type=out message=.*ten\n$/,
  )

  const command = [path.join(root, 'bin', 'pm2-rs'), 'logs', 'job', '--nostream', '--since', '1h']
  const bare = spawnSync(process.execPath, command, { env: { ...process.env, PM2_HOME: home }, encoding: 'utf8' })
  assert.deepEqual(words(bare.stdout), ['no time', 'at all'])
  assert.match(bare.stderr, /carry no time/)
  const bad = cli(home, ['logs', '--since', 'yesterday'])
  assert.equal(bad.status, 1)
  assert.match(bad.stderr, /--since yesterday is no time: say 10m/)
  assert.equal(cli(home, ['kill']).status, 0)
})

test('following: through rotation, restart and new apps; several targets, and nobody else', async (t) => {
  const { home, file, config } = await apps(t)
  const follower = spawn(
    process.execPath,
    [path.join(root, 'bin', 'pm2-rs'), 'logs', 'web', '/^l/', '--lines', '5', '--raw'],
    {
      env: { ...process.env, PM2_HOME: home },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  t.after(() => follower.kill('SIGKILL'))
  let [text, warned] = ['', '']
  follower.stdout.on('data', (chunk) => (text += chunk))
  follower.stderr.on('data', (chunk) => (warned += chunk))
  const say = async (id, line) => {
    const sent = cli(home, ['send', id, line, '-q'])
    assert.equal(sent.status, 0, sent.stderr)
    if (id !== '1') await waitFor(() => text.includes(`stdin: ${line}\n`), line)
  }
  await waitFor(() => warned.includes('no process `/^l/` now; waiting for it'))
  // It may still be on its way to the bus; what is said twice is seen at least once.
  await waitFor(() => cli(home, ['send', '0', 'begin', '-q']).status === 0 && text.includes('stdin: begin\n'))
  fs.renameSync(file('web'), `${file('web')}.old`)
  await say('0', 'in the renamed file')
  assert.equal(cli(home, ['reloadLogs']).status, 0)
  await say('0', 'in the new file')
  fs.truncateSync(file('web'))
  await say('0', 'in the truncated file')
  await say('1', 'not asked for')
  assert.equal(cli(home, ['restart', 'web']).status, 0)
  await waitFor(() => cli(home, ['send', '0', 'restarted', '-q']).status === 0 && text.includes('stdin: restarted\n'))
  const late = JSON.parse(fs.readFileSync(config, 'utf8'))[0]
  const second = path.join(path.dirname(config), 'late.json')
  fs.writeFileSync(second, JSON.stringify([{ ...late, name: 'late', namespace: 'x' }]))
  assert.equal(cli(home, ['start', second]).status, 0)
  await waitFor(() => cli(home, ['send', '3', 'newcomer', '-q']).status === 0 && text.includes('stdin: newcomer\n'))
  assert.ok(!text.includes('not asked for'), text)
  assert.equal(cli(home, ['kill']).status, 0)
})
