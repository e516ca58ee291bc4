'use strict'

// A load over TLS, in a process of its own: `tls-load.cjs PORT keep|new|drop CLIENTS SECONDS TIMEOUT_MS` as load.c has it.

const { startLoad } = require('../../__test__/support/load.js')

const [port, kind, clients, seconds, timeout] = process.argv.slice(2)
const began = performance.now()
const load = startLoad({
  port: Number(port),
  tls: true,
  keepAlive: kind === 'keep',
  clients: Number(clients),
  timeout: Number(timeout),
})

async function end() {
  clearTimeout(timer)
  const took = (performance.now() - began) / 1000
  const { requests, failures, answers } = await load.stop()
  const hung = failures.filter((failure) => failure.includes('HUNG')).length
  const answered = requests - failures.length
  const rate = answered / took
  console.log(
    JSON.stringify({
      requests,
      answered,
      hung,
      rate,
      failures: failures.slice(0, 5),
      workers: Object.fromEntries(answers),
    }),
  )
}

const timer = setTimeout(end, Math.min(Number(seconds) * 1000, 2 ** 31 - 1))
process.once('SIGTERM', end)
