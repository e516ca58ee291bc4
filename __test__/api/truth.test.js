'use strict'

// What list() says agrees with the kernel at every settled moment, under random kills, failing starts and stops.
// PM2_RS_TRUTH_SEED repeats one history.

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')

const { fixture, freshClient, isAlive, pidsWithEnv, waitFor } = require('../support/home.js')

const seed = Number(process.env.PM2_RS_TRUTH_SEED ?? Date.now() % 1_000_000)
const steps = Number(process.env.PM2_RS_TRUTH_STEPS ?? 60)

/** mulberry32: the same numbers for the same seed. */
function random(state) {
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % below
  }
}

test(`the status is the truth (seed ${seed})`, { timeout: 240_000 }, async (t) => {
  t.diagnostic(`PM2_RS_TRUTH_SEED=${seed}`)
  const pm2 = freshClient(t)
  const below = random(seed)
  const folder = path.join(path.dirname(pm2.home), 'apps')
  fs.mkdirSync(folder)
  // It can be started as long as it may be executed.
  const fragile = path.join(folder, 'fragile.sh')
  const allow = (yes) => fs.writeFileSync(fragile, yes ? '#!/bin/sh\nexec sleep 600\n' : '', { mode: 0o755 })
  allow(true)
  await pm2.start([
    { script: fixture('forever.js'), name: 'a', restart_delay: 30 },
    { script: '/bin/sleep', args: ['600'], interpreter: 'none', name: 'b', instances: 2, exec_mode: 'fork' },
    { script: fragile, interpreter: 'none', name: 'c', max_restarts: 4 },
    { script: fixture('crash.js'), name: 'd', max_restarts: 2 },
  ])
  const names = ['a', 'b', 'c', 'd']

  for (let step = 0; step < steps; step++) {
    const name = names[below(names.length)]
    const act = below(7)
    if (act <= 1) {
      for (const app of await pm2.list()) if (app.name === name && app.pid && below(2)) kill(app.pid)
    } else if (act === 2) await pm2.stop(name).catch(() => {})
    else if (act === 3) await pm2.restart(name).catch(() => {})
    else if (act === 4) allow(below(2) === 1)
    else if (act === 5) await Promise.allSettled([pm2.stop(name), pm2.restart(name), pm2.reload(name)])
    else await pm2.start(name, {}).catch(() => {})
    if (below(3) === 0) await settled(`step ${step}`)
  }
  await settled('the end')

  function kill(pid) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It ended by itself.
    }
  }

  /** The list agrees with the kernel; who never settles or tells otherwise fails. */
  async function settled(when) {
    await waitFor(async () => {
      const list = await pm2.list()
      const moving = list.filter((app) => !['online', 'stopped', 'errored'].includes(app.pm2_env.status))
      if (moving.length > 0) return false
      const kernel = pidsWithEnv(`PM2_HOME=${pm2.home}`).map(appOf).filter(Boolean)
      const found = lies(list, kernel, Number(fs.readFileSync(path.join(pm2.home, 'pm2.pid'), 'utf8')))
      if (found.length > 0) throw new Error(JSON.stringify(found))
      return true
    }, `the truth at ${when} of seed ${seed}`)
  }
})

/** What the kernel knows about a process that was started for an app: it has the number of an instance. */
function appOf(pid) {
  try {
    const environ = fs.readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0')
    const value = (name) => environ.find((line) => line.startsWith(`${name}=`))?.slice(name.length + 1)
    if (value('pm_id') === undefined || !isAlive(pid)) return undefined
    const parent = Number(/^PPid:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'latin1'))[1])
    return { pid, id: Number(value('pm_id')), name: value('name'), parent }
  } catch {
    return undefined
  }
}

/** Where the list and the kernel differ: each online app is one living child of the keeper, the others are none. */
function lies(list, kernel, keeper) {
  const wrong = []
  for (const { pid, pm_id: id, name, pm2_env: env } of list) {
    const here = kernel.filter((process) => process.id === id)
    if (env.status !== 'online') {
      if (pid || here.length > 0) wrong.push({ name, status: env.status, pid, here })
      continue
    }
    const [only, ...others] = here
    const fits = only?.pid === pid && only.name === name && only.parent === keeper
    if (!fits || others.length > 0) wrong.push({ name, status: 'online', pid, here })
  }
  const strays = kernel.filter((process) => !list.some((app) => app.pm_id === process.id))
  return [...wrong, ...strays.map((stray) => ({ stray }))]
}

test('the comparison notices every kind of lie', () => {
  const app = (pid, status, id = 0) => ({ pid, pm_id: id, name: 'a', pm2_env: { status } })
  const process = { pid: 7, id: 0, name: 'a', parent: 1 }
  const count = (list, kernel) => lies(list, kernel, 1).length
  assert.equal(count([app(7, 'online')], [process]), 0)
  assert.equal(count([app(0, 'stopped')], []), 0)
  assert.equal(count([app(7, 'online')], []), 1, 'online without a process')
  assert.equal(count([app(8, 'online')], [process]), 1, 'another pid')
  assert.equal(count([app(7, 'online')], [process, { ...process, pid: 9 }]), 1, 'two processes')
  assert.equal(count([app(7, 'online')], [{ ...process, parent: 2 }]), 1, 'the child of somebody else')
  assert.equal(count([app(0, 'stopped')], [process]), 1, 'stopped, and it runs')
  assert.equal(count([app(7, 'errored')], []), 1, 'errored with a pid')
  assert.equal(count([], [process]), 1, 'a process of nobody')
})
