'use strict'

// Starting cluster apps, and hearing on the bus where they listen.

const { freshClient, fixture, waitFor } = require('./home.js')

/** A client with a bus that keeps what apps say: `said(type)` gives the data of all such messages so far. */
async function clientWithBus(t) {
  const pm2 = freshClient(t)
  await pm2.connect()
  const bus = await pm2.launchBus()
  const messages = []
  bus.on('*', (topic, message) => messages.push([topic, message]))
  const said = (type) => messages.filter(([topic]) => topic === type).map(([, message]) => message.data)
  return { pm2, said, messages }
}

const interpreter = process.env.PM2_RS_TEST_NODE ? { exec_interpreter: process.env.PM2_RS_TEST_NODE } : {}

/** Starts an app and waits until every worker has said where it listens. */
async function startWith(context, options) {
  const { pm2, said } = context
  const before = said('listen:port').length
  const started = await pm2.start({
    script: fixture('cluster/http.js'),
    name: 'web',
    exec_mode: 'cluster',
    ...interpreter,
    ...options,
  })
  await waitFor(() => said('listen:port').length >= before + started.length, 'workers listen')
  const listening = said('listen:port').slice(before)
  return {
    ...context,
    started,
    pids: listening.map(({ pid }) => pid),
    port: listening[0].address.port,
    addresses: listening.map(({ address }) => address),
  }
}

const startCluster = async (t, options) => startWith(await clientWithBus(t), options)

module.exports = { clientWithBus, interpreter, startCluster, startWith }
