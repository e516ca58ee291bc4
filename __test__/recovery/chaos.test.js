'use strict'

// Daemon, keeper and some of the apps are killed at random, while apps are started, stopped, restarted and reloaded, lines
// are written, messages sent and requests answered. What nobody killed must not notice.
//
// PM2_RS_CHAOS_SECONDS: how long (60). PM2_RS_CHAOS_SEED: the same kills and calls again (not the same moments).

const assert = require('node:assert/strict')
const fs = require('node:fs')
const http = require('node:http')
const path = require('node:path')
const { test } = require('node:test')

const { fixture, freshClient, isAlive, pidsWithEnv, root, waitFor } = require('../support/home.js')
const { killDaemon, killKeeper, numbers, numbersApp, settled, table } = require('../support/recovery.js')

const seconds = Number(process.env.PM2_RS_CHAOS_SECONDS || 60)
const seed = Number(process.env.PM2_RS_CHAOS_SEED || Math.floor(Math.random() * 2 ** 31))

/** mulberry32 */
function random(state) {
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Requests without an end, each on a connection of its own. */
function load(port) {
  const done = { count: 0, failed: [], stop: false }
  const one = () =>
    new Promise((resolve) => {
      const request = http.get({ port, host: '127.0.0.1', agent: false }, (response) => {
        response.resume()
        response.on('end', () => resolve())
      })
      request.on('error', (error) => resolve(error))
    })
  const loop = async () => {
    while (!done.stop) {
      const error = await one()
      done.count += 1
      if (error) done.failed.push(error)
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  }
  done.ended = Promise.all([loop(), loop()])
  return done
}

/** What a call may be refused with while its daemon is killed, or because another call was first. */
const expected =
  /went away|Reload in progress|already online|already started|already in progress|another command came first|not found|id unknown|is ending/

test(`chaos for ${seconds} s`, { timeout: (seconds + 120) * 1000 }, async (t) => {
  t.diagnostic(`PM2_RS_CHAOS_SEED=${seed}`)
  const chance = random(seed)
  const pick = (list) => list[Math.floor(chance() * list.length)]
  const pm2 = freshClient(t)
  const portFile = path.join(path.dirname(pm2.home), 'port')
  const env = { EVERY_MS: '10' }
  const bystanders = await pm2.start([
    { script: numbersApp, name: 'web', env: { ...env, PORT_FILE: portFile } },
    { script: numbersApp, name: 'writer', env },
    { script: numbersApp, name: 'merged', env, merge_logs: true },
  ])
  const victims = await pm2.start(
    [1, 2, 3].map((n) => ({
      script: fixture('forever.js'),
      name: `victim${n}`,
      max_restarts: 1e6,
      min_uptime: 0,
      restart_delay: 0,
    })),
  )

  // Another client listens: what it hears must come in order, once.
  const { custom } = require(root)
  const listener = new custom({ pm2_home: pm2.home })
  t.after(() => listener.disconnect().catch(() => {}))
  const heard = new Map()
  const disorder = []
  const bus = await new Promise((resolve, reject) =>
    listener.launchBus((error, bus) => (error ? reject(error) : resolve(bus))),
  )
  const listening = new Set()
  bus.on('listen:port', ({ data }) => listening.add(data.address.port))
  bus.on('number', ({ data }) => {
    const last = heard.get(data.pid) ?? 0
    if (data.number <= last) disorder.push(`${data.number} after ${last} of ${data.pid}`)
    heard.set(data.pid, data.number)
  })

  const cluster = await pm2.start({
    script: fixture('cluster/http.js'),
    name: 'cluster',
    exec_mode: 'cluster',
    instances: 2,
  })
  const clusterPort = await waitFor(() => [...listening][0])
  const clusterRequests = load(clusterPort)
  const quiet = new Set([...bystanders, ...cluster].map((app) => app.pm2_env.pm_id))
  const calm = async () => (await table(pm2)).filter((app) => quiet.has(app.pm_id))
  const before = await calm()
  const requests = load(await waitFor(() => Number(fs.readFileSync(portFile, 'utf8'))))
  const asked = new Map(victims.map((victim) => [victim.name, 0]))
  const done = { daemon: 0, keeper: 0, app: 0, calls: 0, refused: 0 }
  const calls = new Set()
  const unexpected = []
  const call = (what) => {
    done.calls += 1
    const running = what().catch((error) => {
      done.refused += 1
      if (!expected.test(error.message)) unexpected.push(error)
    })
    calls.add(running)
    running.finally(() => calls.delete(running))
  }
  const actions = [
    async () => {
      await killDaemon(pm2)
      done.daemon += 1
    },
    async () => {
      await killKeeper(pm2)
      done.keeper += 1
    },
    async () => {
      const victim = (await table(pm2)).find((app) => app.name === pick(victims).name)
      if (!victim?.pid) return
      asked.set(victim.name, asked.get(victim.name) + 1)
      // It may be gone already, or be another's pid only in theory: it was listed a moment ago.
      if (isAlive(victim.pid)) process.kill(victim.pid, 'SIGKILL')
      done.app += 1
    },
    async () => {
      const { name } = pick(victims)
      const verb = pick(['restart', 'stop', 'start', 'reload', 'restart'])
      asked.set(name, asked.get(name) + 1)
      call(() => pm2[verb](name))
    },
    async () => call(() => pm2.list()),
    async () => {
      const name = `extra${done.calls}`
      call(async () => {
        await pm2.start({ script: '/bin/sleep', args: ['100000'], name })
        await pm2.delete(name)
      })
    },
  ]
  const end = Date.now() + seconds * 1000
  while (Date.now() < end) {
    await pick(actions)()
    await new Promise((resolve) => setTimeout(resolve, Math.floor(chance() * 150)))
  }
  await Promise.all(calls)
  requests.stop = true
  clusterRequests.stop = true
  await Promise.all([requests.ended, clusterRequests.ended])
  const who = await settled(pm2)
  t.diagnostic(
    JSON.stringify({
      ...done,
      requests: requests.count,
      cluster: clusterRequests.count,
      clusterFailed: clusterRequests.failed.length,
      lines: [...heard.values()],
    }),
  )

  assert.deepEqual(unexpected, [])
  assert.deepEqual(requests.failed, [])
  assert.deepEqual(clusterRequests.failed, [])
  assert.deepEqual(disorder, [])
  const now = await table(pm2)
  assert.deepEqual(await calm(), before, 'nobody restarted what nobody killed')
  for (const app of bystanders) {
    const log = app.pm2_env.pm_out_log_path
    const seen = numbers(log)
    assert.deepEqual([...seen.keys()], [app.pid])
    await waitFor(() => numbers(log).get(app.pid) >= heard.get(app.pid), 'what was said was written before')
  }
  for (const victim of now.filter((app) => asked.has(app.name))) {
    assert.ok(
      victim.restarts <= asked.get(victim.name),
      `${victim.name}: ${victim.restarts} restarts, ${asked.get(victim.name)} asked for`,
    )
  }
  // The table is what runs.
  const ours = new Set([who.keeper_pid, who.daemon_pid])
  const running = () =>
    pidsWithEnv(`PM2_HOME=${pm2.home}`)
      .filter((pid) => !ours.has(pid) && isAlive(pid))
      .sort()
  const listed = async () =>
    (await table(pm2))
      .filter((app) => app.pid)
      .map((app) => app.pid)
      .sort()
  await waitFor(
    async () => JSON.stringify(running()) === JSON.stringify(await listed()),
    'table and /proc agree',
    10_000,
  ).catch(async () => {
    // Who it is says more than a number: its parent, its command.
    const known = (pid) => {
      try {
        const command = fs.readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ')
        return `${pid} of ${fs.readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1].split(' ')[1]}: ${command}`
      } catch {
        return `${pid}: gone`
      }
    }
    assert.deepEqual(running().map(known), (await listed()).map(known))
  })
})
