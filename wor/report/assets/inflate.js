// Unpack the base64 of raw deflate that an element holds as a JSON string.

async function inflate(element) {
  const raw = atob(JSON.parse(element.textContent));
  const bytes = new Uint8Array(raw.length);
  for (let index = 0; index < raw.length; index++) bytes[index] = raw.charCodeAt(index);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Response(stream).text();
}

