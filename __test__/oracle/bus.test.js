'use strict'

// The oracle of the bus: what a subscriber hears from our daemon is what it hears from a stock one.

const assert = require('node:assert/strict')
const { execFile } = require('node:child_process')
const path = require('node:path')
const { test } = require('node:test')
const { promisify } = require('node:util')

const { freshHome, root } = require('../support/home.js')
const { differences, shape } = require('./compare.js')

const steps = ['start', 'data', 'line', 'signal', 'restart', 'stop', 'delete', 'crash', 'throw', 'kill']

async function listen(t, pm2Package) {
  const { stdout } = await promisify(execFile)(process.execPath, [path.join(__dirname, 'bus_scenario.js')], {
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      PM2_RS_TEST_RUN: process.env.PM2_RS_TEST_RUN,
      PM2_HOME: freshHome(t),
      PM2_DISABLE_VERSION_CHECK: 'true',
      PM2_PACKAGE: pm2Package,
      APP_FOLDER: path.join(root, '__test__', 'fixtures'),
    },
    maxBuffer: 64 << 20,
    timeout: 120_000,
  })
  return JSON.parse(stdout.slice(stdout.indexOf('[{"step"')))
}

/** The life of the processes in one step, as `event status manually`. */
const life = (heard, step) =>
  heard
    .filter((entry) => entry.step === step && entry.topic === 'process:event')
    .map(({ payload }) => `${payload.event} ${payload.process.status} ${payload.manually}`)

/** Sent by the libraries inside a stock app; ours says nothing of the kind ('Metrics inside the app'). */
const fromTheProbe = ['application:dependencies']

const topics = (heard, step) =>
  [...new Set(heard.filter((entry) => entry.step === step).map((entry) => entry.topic))]
    .filter((topic) => !fromTheProbe.includes(topic))
    .sort()

test('what is heard on the bus is what stock pm2 lets hear', async (t) => {
  const stock = await listen(t, path.join(root, 'node_modules', 'pm2'))
  const ours = await listen(t, root)

  for (const step of steps) {
    // We say `delete` after a removal, stock does not (docs/differences.md); everything else is the same, in order.
    const events = life(ours, step).filter((line) => !line.startsWith('delete '))
    assert.deepEqual(events, life(stock, step), `process:event in step "${step}"`)
    assert.deepEqual(
      topics(ours, step).filter((topic) => topic !== 'process:event' || events.length > 0),
      topics(stock, step),
      `topics in step "${step}"`,
    )
  }

  const first = (heard, topic) =>
    heard.find((entry) => entry.topic === topic && entry.payload.event !== 'delete')?.payload
  for (const topic of new Set(stock.map((entry) => entry.topic))) {
    if (fromTheProbe.includes(topic)) continue
    // The record in a process:event is a pm2_env: the same keys are left out as in that.
    const seen = (heard) => ({ ...first(heard, topic), process: undefined, pm2_env: first(heard, topic).process ?? {} })
    assert.deepEqual(differences(shape(seen(stock)), shape(seen(ours))), [], `payload of ${topic}`)
  }
})

test('an uncaught exception is told with its message and stack, and printed as usual', async (t) => {
  const ours = await listen(t, root)
  const { payload } = ours.find((entry) => entry.topic === 'process:exception')
  assert.equal(payload.data.message, 'my exception')
  assert.match(payload.data.stack, /throws\.js:\d+/)
  const printed = ours.filter((entry) => entry.topic === 'log:err' && entry.payload.process.name === 'throws')
  assert.match(printed.map((entry) => entry.payload.data).join(''), /my exception/)
  const exit = ours.find(
    (entry) => entry.topic === 'process:event' && entry.step === 'throw' && entry.payload.event === 'exit',
  )
  assert.equal(exit.payload.process.exit_code, 1)
})
