'use strict'

// The bus through our client and our daemon.

const assert = require('node:assert/strict')
const { test } = require('node:test')

const { fixture, freshClient, waitFor } = require('../support/home.js')

test('several buses hear the same, off ends it, wildcards capture', async (t) => {
  const pm2 = freshClient(t)
  await pm2.connect()
  const [one, two] = [await pm2.launchBus(), await pm2.launchBus()]
  const heard = { one: [], two: [], logs: [] }
  one.on('process:event', (payload) => heard.one.push(payload.event))
  two.on('process:*', (kind, payload) => heard.two.push(`${kind} ${payload.event}`))
  two.on('log:*', (kind, payload) => heard.logs.push([kind, payload.data]))
  await pm2.start({ script: fixture('worker.sh'), name: 'sh', args: ['hello'] })
  await waitFor(() => heard.one.includes('start') && heard.two.includes('event start'))
  await waitFor(() => heard.logs.some(([kind, data]) => kind === 'out' && data.includes('shell hello')))
  one.off('process:event')
  const before = heard.one.length
  await pm2.stop('sh')
  await waitFor(() => heard.two.includes('event stop'))
  assert.equal(heard.one.length, before)
})

test('a bus made before there is a daemon hears it once it comes', async (t) => {
  const pm2 = freshClient(t)
  const events = []
  const launching = pm2.launchBus()
  await pm2.connect()
  const bus = await launching
  bus.on('process:event', ({ event, process }) => events.push([event, process.status, process.name]))
  await pm2.start({ script: fixture('forever.js'), name: 'app' })
  await waitFor(() => events.length >= 2)
  assert.deepEqual(events.slice(0, 2), [
    ['online', 'launching', 'app'],
    ['start', 'online', 'app'],
  ])
})

test('a process:event carries the record without env, but with its flat copies', async (t) => {
  const pm2 = freshClient(t)
  await pm2.connect()
  const bus = await pm2.launchBus()
  const first = new Promise((resolve) => bus.on('process:event', resolve))
  await pm2.start({ script: fixture('forever.js'), name: 'app', env: { SECRET: 'x' } })
  const { event, manually, at, process } = await first
  assert.deepEqual([event, manually, typeof at], ['online', false, 'number'])
  assert.equal(process.env, undefined)
  assert.equal(process.SECRET, 'x')
})
