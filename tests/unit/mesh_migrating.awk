# The C code of MIGRATING.md as one program: what begins with a definition stands as it is, whatever
# else is a function of its own that main() calls.
/^```c$/ { is_code = 1; is_first = 1; next }
/^```$/ { if (is_body) print "}"; is_code = is_body = 0; next }
is_code && is_first {
    is_first = 0
    if ($0 !~ /^(#include|MESH_FUNCTION|static [a-z]+ [a-z_]+\(|struct [a-z]+ \{)/) {
        is_body = 1
        printf "static void example_%d(mesh *m)\n{\n", ++n
    }
}
is_code { print }
END {
    print "int main(void)\n{\n    mesh_init();\n    mesh *m = mesh_open(NULL);"
    for (i = 1; i <= n; i++) printf "    example_%d(m);\n", i
    print "    int error = mesh_error(m);\n    mesh_close(m);\n    return error != 0;\n}"
}
