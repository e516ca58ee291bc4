'use strict'

// The addon's place taken by an object that remembers what it is asked: for tests of the API's shape.

const native = require('../../lib/native.js')

function fakeNative(answer = () => ({ ok: [] })) {
  const fake = {
    actions: [],
    clients: [],
    disconnects: 0,
    subscriptions: [],
    NativeClient: class {
      constructor(optionsJson) {
        fake.clients.push(JSON.parse(optionsJson))
      }
      async run(actionJson) {
        const action = JSON.parse(actionJson)
        fake.actions.push(action)
        return JSON.stringify(await answer(action))
      }
      async disconnect() {
        fake.disconnects += 1
        return '{"ok":true}'
      }
      subscribe(onEvents) {
        const subscription = {
          closed: false,
          send: (...events) => onEvents(JSON.stringify(events)),
          close() {
            this.closed = true
          },
        }
        fake.subscriptions.push(subscription)
        return subscription
      }
    },
    runCli: async () => 0,
  }
  native.use(fake)
  return fake
}

/** An instance on a fake of its own; `last()` is the action that was asked for last. */
function instance(t, answer, opts = { pm2_home: '/tmp/no-such-home' }) {
  const fake = fakeNative(answer)
  const API = require('../../index.js').custom
  const pm2 = new API(opts)
  t.after(() => {
    native.use(undefined)
    return pm2.disconnect().catch(() => {})
  })
  return { pm2, fake, last: () => fake.actions[fake.actions.length - 1] }
}

module.exports = { fakeNative, instance }
