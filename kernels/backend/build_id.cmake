# Writes the source of BuildId(): cmake -DOUTPUT=file -DINPUTS=a;b;.. -DBUILD=text -P build_id.cmake
set(text "${BUILD}")
foreach(input IN LISTS INPUTS)
  file(SHA256 ${input} digest)
  string(APPEND text "\n${digest}")
endforeach()
string(SHA256 digest "${text}")
string(SUBSTRING ${digest} 0 16 id)
file(WRITE ${OUTPUT} "#include \"kernels/backend/plugin.h\"

namespace seedlm::backend {
std::string_view BuildId() { return \"${id}\"; }
}  // namespace seedlm::backend
")
