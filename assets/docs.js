// Starts Swagger UI on this server's own document. Addresses are found from where the page is: a proxy may have put the
// server below a path of its own.

const place = document.querySelector("#swagger-ui");
const root = new URL(`${place.dataset.root}/`, location);

const response = await fetch(new URL("openapi.json", root));
const spec = await response.json();
const below = root.pathname.slice(0, -1);
if (below) {
  spec.servers = [{ url: below }];
  for (const scheme of Object.values(spec.components.securitySchemes)) {
    scheme.flows.password.tokenUrl = below + scheme.flows.password.tokenUrl;
  }
}

const dark = matchMedia("(prefers-color-scheme: dark)");
const dress = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", dress);
dress();

SwaggerUIBundle({
  spec,
  domNode: place,
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  filter: true,
  // The default asks a server elsewhere whether the document is valid.
  validatorUrl: null,
});
