'use strict'

// What a request makes conditional: RFC 9110 sections 12.5.3 (encodings), 13 (conditions) and 14 (ranges). Pure.

/** @typedef {import('node:http').IncomingHttpHeaders} Headers */

/**
 * Whether the caller has this already.
 * @param {Headers} headers
 * @param {string} tag
 * @param {number} modified milliseconds, of whole seconds
 */
function isUnchanged(headers, tag, modified) {
  const known = headers['if-none-match']
  // With a tag the date is not looked at.
  if (known !== undefined) {
    return known.split(',').some((one) => ['*', tag, `W/${tag}`].includes(one.trim()))
  }
  const since = Date.parse(headers['if-modified-since'] ?? '')
  return modified <= since
}

/**
 * The single range that is asked for. Several, or what is no range of bytes: the whole file, as is allowed.
 * @param {Headers} headers
 * @param {number} size
 * @param {string} tag
 * @param {number} modified
 * @returns {{ start: number, end: number } | 'none' | undefined} 'none': there is nothing of it
 */
function rangeOf(headers, size, tag, modified) {
  const condition = headers['if-range']
  if (condition !== undefined && condition !== tag && Date.parse(String(condition)) !== modified) return undefined
  const asked = /^bytes=\s*(\d{0,15})-(\d{0,15})\s*$/.exec(headers.range ?? '')
  if (asked === null || (asked[1] === '' && asked[2] === '')) return undefined
  if (asked[1] === '') {
    // The last so many bytes.
    const count = Math.min(Number(asked[2]), size)
    return count === 0 ? 'none' : { start: size - count, end: size - 1 }
  }
  const start = Number(asked[1])
  const last = asked[2] === '' ? size - 1 : Number(asked[2])
  if (asked[2] !== '' && last < start) return undefined
  return start >= size ? 'none' : { start, end: Math.min(last, size - 1) }
}

/**
 * Whether gzip may be sent. Its own weight counts before that of everything.
 * @param {string | string[] | undefined} header
 */
function takesGzip(header) {
  const weights = new Map(
    String(header ?? '')
      .toLowerCase()
      .split(',')
      .map((one) => {
        const [name, ...parameters] = one.split(';').map((part) => part.trim())
        const weight = parameters.find((part) => part.startsWith('q='))
        return [name, weight === undefined ? 1 : Number(weight.slice(2))]
      }),
  )
  return (weights.get('gzip') ?? weights.get('*') ?? 0) > 0
}

module.exports = { isUnchanged, rangeOf, takesGzip }
