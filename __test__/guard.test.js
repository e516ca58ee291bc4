'use strict'

// Against growth nobody notices: counts, which no load distorts. The bounds are generous (a build for development meets
// them, too); a figure that doubles does not. Figures in time are `npm run bench`; what a list allocates is counted in
// src/daemon/delta/tests.rs, and how large the files may be in scripts/build.mjs.

const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')
const { freshClient, waitFor } = require('./support/home.js')

const FEW = 5
const MANY = 45
/** Less than this of its files' pages has a daemon at rest, in kB; at work it is three times as much in a development build. */
const REST = 9000

const read = (pid, file) => fs.readFileSync(`/proc/${pid}/${file}`, 'latin1')
const field = (text, name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)[1])

/** What one process of ours has now. */
function holdings(pid) {
  const rollup = read(pid, 'smaps_rollup')
  return {
    threads: field(read(pid, 'status'), 'Threads'),
    descriptors: fs.readdirSync(`/proc/${pid}/fd`).length,
    private: field(rollup, 'Private_Dirty'),
    pss: field(rollup, 'Pss'),
  }
}

/** Keeper and daemon of a home. */
function daemonSide(home) {
  const keeper = Number(fs.readFileSync(path.join(home, 'pm2.pid'), 'latin1'))
  const children = read(keeper, `task/${keeper}/children`).trim().split(' ')
  const daemon = Number(children.find((pid) => read(pid, 'comm').trim() === 'pm2d'))
  assert.ok(daemon > 0, 'a daemon below the keeper')
  return { keeper, daemon }
}

const idle = (instances, name) => ({
  script: '/bin/sleep',
  args: ['100000'],
  interpreter: 'none',
  exec_mode: 'fork',
  instances,
  name,
})

test('what daemon and keeper hold for each app, and do for each list, stays little', async (t) => {
  const pm2 = freshClient(t)
  const { home } = pm2
  await pm2.start(idle(FEW, 'few'))
  const pids = daemonSide(home)
  // The first list makes what later ones use again.
  await pm2.list()
  const before = Object.fromEntries(Object.entries(pids).map(([who, pid]) => [who, holdings(pid)]))
  await pm2.start(idle(MANY - FEW, 'more'))
  for (let turn = 0; turn < 3; turn++) assert.equal((await pm2.list()).length, MANY)

  const bounds = { keeper: { descriptors: 6, private: 24 }, daemon: { descriptors: 9, private: 64 } }
  for (const [who, pid] of Object.entries(pids)) {
    const now = holdings(pid)
    const each = (key) => (now[key] - before[who][key]) / (MANY - FEW)
    t.diagnostic(`${who}: ${JSON.stringify({ before: before[who], now })}`)
    assert.equal(now.threads, 1, `threads of the ${who}`)
    for (const key of ['descriptors', 'private']) {
      assert.ok(each(key) <= bounds[who][key], `${each(key)} more ${key} of the ${who} for each app`)
    }
    assert.ok(now.pss <= 24 * 1024, `${now.pss} kB of the ${who}`)
  }

  await t.test('a list reads one file of each process, at most', async () => {
    const reads = () => field(read(pids.daemon, 'io'), 'syscr')
    const start = reads()
    const turns = 20
    for (let turn = 0; turn < turns; turn++) await pm2.list()
    const each = (reads() - start) / turns
    t.diagnostic(`${each} reads for a list of ${MANY}`)
    // One until all is read, one that finds the end.
    assert.ok(each <= 2 * MANY + 10, `${each} reads for a list of ${MANY}`)
  })

  await t.test('nobody wakes up when nothing happens', async () => {
    const switches = () => Object.values(pids).map((pid) => field(read(pid, 'status'), 'voluntary_ctxt_switches'))
    await waitFor(async () => {
      const start = switches()
      await new Promise((resolve) => setTimeout(resolve, 1000))
      const woken = switches().map((count, index) => count - start[index])
      // Once a second at most; the first seconds after a start have work of their own.
      return woken.every((count) => count <= 2)
    }, 'a second in which keeper and daemon sleep')
  })

  await t.test('a list takes few system calls', async (t) => {
    const traced = spawnSync('strace', ['-c', '-o', '/dev/null', 'true'])
    if (traced.status !== 0) return t.skip('NOT CHECKED: there is no strace, or it may not trace')
    const file = path.join(path.dirname(home), 'strace')
    const { spawn } = require('node:child_process')
    const strace = spawn('strace', ['-f', '-c', '-o', file, '-p', String(pids.daemon)], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    t.after(() => strace.kill('SIGKILL'))
    let said = ''
    strace.stderr.on('data', (text) => {
      said += text
    })
    const ended = new Promise((resolve) => strace.once('close', resolve))
    await Promise.race([waitFor(() => /attached/.test(said), 'strace to attach'), ended])
    if (!/attached/.test(said)) return t.skip(`NOT CHECKED: strace may not trace another process (${said.trim()})`)
    const turns = 20
    for (let turn = 0; turn < turns; turn++) await pm2.list()
    strace.kill('SIGINT')
    await ended
    const total = /^100\.00\s+\S+\s+\S*\s+(\d+)/m.exec(fs.readFileSync(file, 'utf8'))
    const each = Number(total[1]) / turns
    t.diagnostic(`${each} system calls for a list of ${MANY}`)
    // Open, read twice, close; and what the socket takes.
    assert.ok(each <= 5 * MANY + 20, `${each} system calls for a list of ${MANY}`)
  })

  await t.test('what a burst of work took is given back', async (t) => {
    const code = () => field(read(pids.daemon, 'status'), 'RssFile')
    // What was given back after the start above may have come back with the lists since: they are no burst.
    for (const work of [() => pm2.start(idle(2, 'passing')), () => pm2.delete('passing')]) {
      await work()
      const most = code()
      await waitFor(() => code() < REST, `the daemon to give back of ${most} kB`)
      t.diagnostic(`${most} kB after work, ${code()} kB at rest`)
    }
  })
})
