'use strict'

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { expand } = require('../lib/expand.js')

const answer = (extra) => ({
  pm2rs: 1,
  bases: [
    { name: 'a', env: { A: '1', deep: { x: [1] }, unique_id: 'u0' }, args: ['x'], A: '1', unique_id: 'u0', pm_id: 0 },
    { name: 'b', env: { unique_id: 'u2' }, unique_id: 'u2', pm_id: 2 },
  ],
  list: [
    [0, 'a', 10, 0, 0, 5, 0.5],
    [0, 'a', 11, { unique_id: 'u1', pm_id: 1, A: '2' }, { A: '2' }, 6, 0],
    [1, 'b', 0, 0, 0, 0, 0],
  ],
  ...extra,
})

test('a list is put together again, with its keys in their order', () => {
  const list = expand(answer())
  const second = {
    pid: 11,
    name: 'a',
    pm2_env: {
      name: 'a',
      env: { A: '2', deep: { x: [1] }, unique_id: 'u1' },
      args: ['x'],
      A: '2',
      unique_id: 'u1',
      pm_id: 1,
    },
    pm_id: 1,
    monit: { memory: 6, cpu: 0 },
  }
  assert.equal(JSON.stringify(list[1]), JSON.stringify(second))
  assert.deepEqual(list[0].monit, { memory: 5, cpu: 0.5 })
  assert.equal(list[2].pm2_env.env.unique_id, 'u2')
})

test('no two processes share an object', () => {
  const [first, second] = expand(answer())
  first.pm2_env.env.A = 'changed'
  first.pm2_env.env.deep.x.push(2)
  first.pm2_env.args.push('y')
  assert.deepEqual(second.pm2_env.env, { A: '2', deep: { x: [1] }, unique_id: 'u1' })
  assert.deepEqual(second.pm2_env.args, ['x'])
})

test('the list of a stock daemon stays what it is', () => {
  const list = [{ pid: 1 }]
  assert.equal(expand(list), list)
})
