'use strict'

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { Bus } = require('../lib/bus.js')

function openBus() {
  const native = { closed: 0, send: undefined }
  const bus = new Bus(
    (onEvents) => {
      native.send = (...events) => onEvents(JSON.stringify(events))
      return { close: () => native.closed++ }
    },
    () => {},
  )
  return { bus, native }
}

test('the bus has pm2 its own properties, and no emitter', () => {
  const { bus } = openBus()
  for (const key of ['sock', 'bind', 'connect', 'close', 'listeners']) assert.ok(Object.hasOwn(bus, key), key)
  for (const key of ['emit', 'once', 'addListener']) assert.equal(bus[key], undefined)
})

test('what a subscription matches and what its listener gets', () => {
  const { bus, native } = openBus()
  const got = []
  const listen = (event) => bus.on(event, (...args) => got.push([String(event), ...args]))
  listen('process:event')
  listen('*')
  listen('log:*')
  listen('*:*')
  listen(/^(process):(ev.*)$/g)
  listen('a.c')
  listen('process:')
  native.send(['process:event', 1])
  assert.deepEqual(got.splice(0), [
    ['process:event', 1],
    ['*', 'process:event', 1],
    ['*:*', 'process', 'event', 1],
    ['/^(process):(ev.*)$/g', 'process', 'event', 1],
  ])
  native.send(['log:out', 2], ['a:b:c', 3], ['abc', 4], ['process:event', 5])
  assert.deepEqual(got, [
    ['*', 'log:out', 2],
    ['log:*', 'out', 2],
    ['*:*', 'log', 'out', 2],
    ['*', 'a:b:c', 3],
    ['*:*', 'a:b', 'c', 3],
    ['*', 'abc', 4],
    ['process:event', 5],
    ['*', 'process:event', 5],
    ['*:*', 'process', 'event', 5],
    ['/^(process):(ev.*)$/g', 'process', 'event', 5],
  ])
})

test('on and off chain; off takes every listener of that event', () => {
  const { bus, native } = openBus()
  const got = []
  const chained = bus
    .on('x', () => got.push(1))
    .on('x', () => got.push(2))
    .on('*', () => got.push(3))
    .off('x')
  assert.equal(chained, bus)
  native.send(['x', null])
  assert.deepEqual(got, [3])
  assert.throws(() => bus.on('x'), TypeError)
})

test('a listener that throws costs neither the others nor later events', async (t) => {
  const { bus, native } = openBus()
  const got = []
  const thrown = new Promise((resolve) => {
    // The test runner has listeners of its own, which would fail this test.
    const others = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    process.once('uncaughtException', resolve)
    t.after(() => {
      for (const listener of others) process.on('uncaughtException', listener)
    })
  })
  bus.on('x', () => {
    throw new Error('mine')
  })
  bus.on('x', (n) => got.push(n))
  bus.on('y', (n) => got.push(n))
  native.send(['x', 1], ['y', 2])
  assert.deepEqual(got, [1, 2])
  assert.equal((await thrown).message, 'mine')
})

test('the socket tells about the connection; closing is final', () => {
  const { bus, native } = openBus()
  const told = []
  for (const what of ['connect', 'close', 'reconnect attempt']) bus.sock.on(what, () => told.push(what))
  bus.on('*', (event) => told.push(event))
  native.send([':connect', null], [':close', null], [':reconnect attempt', null], [':connect', null])
  assert.deepEqual(told.splice(0), ['connect', 'close', 'reconnect attempt', 'connect'])
  assert.equal(bus.sock.connected, true)
  bus.on('x', () => bus.close())
  native.send(['x', 1], ['z', 2])
  native.send(['z', 3])
  bus.close()
  bus.sock.close()
  assert.deepEqual(told, ['x', 'close'])
  assert.equal(native.closed, 1)
})
