'use strict'

// How many workers there are, who goes first, and several reloads at once.

const assert = require('node:assert/strict')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { test } = require('node:test')

const { clientWithBus, interpreter, startCluster, startWith } = require('../support/cluster.js')
const { fixture, isAlive, waitFor } = require('../support/home.js')
const { request, startLoad } = require('../support/load.js')

const ids = async (pm2) => (await pm2.list()).map(({ pm_id }) => pm_id).sort((a, b) => a - b)

test("scale: '+n', '-n' and absolute, the lowest id goes first, and no request is lost", async (t) => {
  const { pm2, port, said } = await startCluster(t, { instances: 2 })
  const load = startLoad({ t, port, clients: 4 })
  const served = async () => {
    load.answers.clear()
    const { length } = await pm2.list()
    await waitFor(() => load.answers.size >= length)
    assert.deepEqual(load.failures, [])
  }
  await pm2.scale('web', '+2')
  await waitFor(() => said('listen:port').length === 4)
  assert.deepEqual(await ids(pm2), [0, 1, 2, 3])
  await served()
  await pm2.scale('web', '-1')
  assert.deepEqual(await ids(pm2), [1, 2, 3])
  await served()
  await pm2.scale('web', 1)
  assert.deepEqual(await ids(pm2), [3])
  await served()
  await pm2.scale('web', '3')
  await waitFor(() => said('listen:port').length === 6)
  assert.equal((await pm2.list()).length, 3)
  await served()
  await assert.rejects(pm2.scale('web', 3), /Same process number/)
  await assert.rejects(pm2.scale('none', 3), /App not found/)
  const { failures } = await load.stop()
  assert.deepEqual(failures, [])
})

test('reload_parallel: so many new workers at once, and no more', async (t) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pm2-rs-'))
  t.after(() => fs.rmSync(folder, { recursive: true }))
  const gate = path.join(folder, 'gate')
  const options = { script: fixture('cluster/gate.js'), env: { GATE: gate }, listen_timeout: 60_000 }
  const { pm2, said } = await startCluster(t, { ...options, instances: 4, reload_parallel: 2 })
  fs.writeFileSync(gate, '')
  const reloading = pm2.reload('web')
  await waitFor(() => said('listen:waits').length === 2)
  // A list takes its turn behind whatever else the daemon would have begun by now.
  await pm2.list()
  assert.equal(said('listen:waits').length, 2)
  fs.rmSync(gate)
  await reloading
  assert.equal(said('listen:port').length, 8)
})

test('reloads of two apps run beside each other, a second one of the same app is refused', async (t) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pm2-rs-'))
  t.after(() => fs.rmSync(folder, { recursive: true }))
  const gate = path.join(folder, 'gate')
  const context = await clientWithBus(t)
  const { pm2, said } = context
  const options = { script: fixture('cluster/gate.js'), env: { GATE: gate }, listen_timeout: 60_000, instances: 1 }
  await startWith(context, { ...options, name: 'slow' })
  const { pids } = await startWith(context, { name: 'quick', instances: 2 })
  fs.writeFileSync(gate, '')
  const slow = pm2.reload('slow')
  await waitFor(() => said('listen:waits').length === 1)
  await pm2.reload('quick')
  for (const pid of pids) assert.ok(!isAlive(pid))
  await assert.rejects(pm2.reload('slow', { force: true }), /Reload already in progress for process id 0, retry later/)
  fs.rmSync(gate)
  assert.equal((await slow)[0].status, 'online')
})

test('each address has its worker: over reloads, and most of them when workers come', async (t) => {
  const context = await startCluster(t, { script: fixture('cluster/instance.js'), instances: 4, sticky: true })
  const { pm2, port, said } = context
  const addresses = Array.from({ length: 24 }, (_, index) => `127.0.0.${index + 2}`)
  const asked = async () => {
    const of = new Map()
    for (const localAddress of addresses) {
      const first = await request({ port, localAddress, agent: false })
      assert.equal(await request({ port, localAddress, agent: false }), first, localAddress)
      of.set(localAddress, first)
    }
    return of
  }
  const before = await asked()
  assert.equal(new Set(before.values()).size, 4, 'every worker has some')
  await pm2.reload('web')
  assert.deepEqual(await asked(), before)
  await pm2.scale('web', 5)
  await waitFor(() => said('listen:port').length === 9)
  const after = await asked()
  const moved = addresses.filter((address) => after.get(address) !== before.get(address))
  for (const address of moved) assert.equal(after.get(address), '4', 'whoever moved is with the new one')
  assert.ok(moved.length < addresses.length / 2)
})

test('several addresses at once, with connections that are kept', async (t) => {
  const { port } = await startCluster(t, { script: fixture('cluster/instance.js'), instances: 3, sticky: true })
  const loads = Array.from({ length: 6 }, (_, index) =>
    startLoad({ t, port, clients: 2, keepAlive: index % 2 === 0, localAddress: `127.0.0.${index + 2}` }),
  )
  await waitFor(() => loads.every((load) => load.requests >= 40))
  for (const load of loads) {
    const { failures, answers } = await load.stop()
    assert.deepEqual(failures, [])
    assert.equal(answers.size, 1)
  }
})

for (const program of ['bun', 'deno']) {
  test(`${program}: fork mode runs, cluster mode says what to use instead`, async (t) => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pm2-rs-'))
    t.after(() => fs.rmSync(folder, { recursive: true }))
    const file = path.join(folder, program)
    fs.writeFileSync(file, `#!/bin/sh\nfor last; do :; done\nexec '${process.execPath}' "$last"\n`, { mode: 0o755 })
    const { pm2 } = await clientWithBus(t)
    const app = { script: fixture('forever.js'), name: 'app', interpreter: file }
    await assert.rejects(pm2.start({ ...app, exec_mode: 'cluster' }), (error) => {
      assert.match(error.message, new RegExp(`${program} cannot be a worker of Node's cluster`))
      assert.match(error.message, /exec_mode: 'fork'/)
      return true
    })
    assert.deepEqual(await pm2.list(), [])
    const started = await pm2.start({ ...app, instances: 2 })
    assert.deepEqual(
      started.map(({ pm2_env }) => [pm2_env.exec_mode, pm2_env.status]),
      [
        ['fork_mode', 'online'],
        ['fork_mode', 'online'],
      ],
    )
  })
}

test('start answers when a worker runs; with wait_ready when it says so', async (t) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pm2-rs-'))
  t.after(() => fs.rmSync(folder, { recursive: true }))
  const gate = path.join(folder, 'gate')
  fs.writeFileSync(gate, '')
  const { pm2, said } = await clientWithBus(t)
  const options = { script: fixture('cluster/gate.js'), ...interpreter, exec_mode: 'cluster', listen_timeout: 60_000 }
  // It waits at its gate and does not listen yet: online all the same.
  const [{ pm2_env }] = await pm2.start({ ...options, name: 'online', env: { GATE: gate } })
  assert.equal(pm2_env.status, 'online')
  let isStarted = false
  const ready = pm2
    .start({ ...options, name: 'ready', env: { GATE: gate, READY: '1' }, wait_ready: true })
    .then((all) => {
      isStarted = true
      return all
    })
  await waitFor(() => said('listen:waits').length === 2)
  await pm2.list()
  assert.equal(isStarted, false)
  fs.rmSync(gate)
  assert.equal((await ready)[0].pm2_env.status, 'online')
})
